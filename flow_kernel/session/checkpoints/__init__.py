"""The time machine: variables and files as they were."""
