"""What steps run in: one contract, found by name among entry points `flow_kernel.executors`."""
