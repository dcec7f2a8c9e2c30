"""What other programmes have learned as a concept of a timeline."""
