"""What the survey room promises."""
