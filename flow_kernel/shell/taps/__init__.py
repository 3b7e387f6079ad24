"""What sees a cell for the recorder, holds it up for an answer, and keeps our failures away."""
