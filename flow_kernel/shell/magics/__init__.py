"""The magics of a session, and what they answer: flow, task, approve, checkpoint."""
