"""What maintainer scripts come to, worked out without running them."""
