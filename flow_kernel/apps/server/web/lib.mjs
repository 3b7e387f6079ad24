// The library of the page: preact, its hooks, and templates without a build step.
import { h, render, Fragment } from "./vendor/preact.mjs";
import { useState, useEffect, useRef, useMemo, useCallback } from "./vendor/hooks.mjs";
import htm from "./vendor/htm.mjs";

export const html = htm.bind(h);
export { render, Fragment, useState, useEffect, useRef, useMemo, useCallback };
