// The dashboard of flow_kernel as a launcher entry, a command and a tab of JupyterLab.
//
// Written by hand: the container that JupyterLab looks for, as its builder would make it. What it
// needs comes from the shared scope of the JupyterLab that is running, so there is nothing to build.
(() => {
  "use strict";
  const COMMAND = "flow:open-dashboard";
  let scope = null;

  async function shared(name) {
    const versions = Object.values(scope[name] || {});
    if (!versions.length) throw new Error(`flow-kernel: JupyterLab shares no ${name}`);
    const newest = versions.find((each) => each.loaded) || versions[versions.length - 1];
    return (await newest.get())();
  }

  async function plugin() {
    const [services, apputils, launcher, coreutils, ui] = await Promise.all([
      shared("@jupyterlab/services"),
      shared("@jupyterlab/apputils"),
      shared("@jupyterlab/launcher"),
      shared("@jupyterlab/coreutils"),
      shared("@jupyterlab/ui-components"),
    ]);
    const icon = new ui.LabIcon({
      name: "flow-kernel:icon",
      svgstr:
        '<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24"><g class="jp-icon3" fill="none" stroke="#616161" stroke-width="2"><circle cx="6" cy="5" r="2.5"/><circle cx="6" cy="19" r="2.5"/><circle cx="18" cy="12" r="2.5"/><path d="M6 7.5v9M8.5 5.5C14 6 15 8 16 10"/></g></svg>',
    });

    const activate = (app, palette, restorer, launches) => {
      const tracker = new apputils.WidgetTracker({ namespace: "flow-kernel" });
      let widget = null;

      const make = () => {
        const content = new apputils.IFrame({
          sandbox: ["allow-scripts", "allow-same-origin", "allow-forms"],
        });
        const isDark = document.body.dataset.jpThemeLight === "false";
        const base = services.ServerConnection.makeSettings().baseUrl;
        content.url = `${coreutils.URLExt.join(base, "flow")}/?theme=${isDark ? "dark" : "light"}`;
        const made = new apputils.MainAreaWidget({ content });
        made.id = "flow-dashboard";
        made.title.label = "Flow";
        made.title.caption = "Tasks, cells, approvals, checkpoints, runs and workers";
        made.title.icon = icon;
        made.title.closable = true;
        return made;
      };

      app.commands.addCommand(COMMAND, {
        label: (args) => (args.isPalette ? "Open the Flow Dashboard" : "Flow Dashboard"),
        caption: "Tasks, cells, approvals, checkpoints, runs and workers",
        icon,
        execute: () => {
          if (!widget || widget.isDisposed) widget = make();
          if (!tracker.has(widget)) tracker.add(widget);
          if (!widget.isAttached) app.shell.add(widget, "main");
          app.shell.activateById(widget.id);
          return widget;
        },
      });
      if (restorer) restorer.restore(tracker, { command: COMMAND, name: () => "flow-dashboard" });
      if (palette) palette.addItem({ command: COMMAND, category: "Flow", args: { isPalette: true } });
      if (launches) launches.add({ command: COMMAND, category: "Other", rank: 5 });
    };

    const application = await shared("@jupyterlab/application");
    return {
      id: "flow-kernel:dashboard",
      description: "Opens the dashboard of flow_kernel",
      autoStart: true,
      optional: [apputils.ICommandPalette, application.ILayoutRestorer, launcher.ILauncher],
      activate,
    };
  }

  const modules = {
    "./extension": async () => {
      const found = await plugin();
      return () => ({ __esModule: true, default: found });
    },
  };

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB["flow-kernel"] = {
    init: (found) => {
      scope = found;
    },
    get: (name) => {
      if (!modules[name]) return Promise.reject(new Error(`flow-kernel has no ${name}`));
      return modules[name]();
    },
  };
})();
