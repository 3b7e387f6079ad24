"""Checkpoints on the disk: chunks of content, and signed manifests that name them."""
