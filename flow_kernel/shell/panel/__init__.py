"""What a person presses in the notebook: buttons below a question, and the panel of the task."""
