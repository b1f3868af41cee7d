"""The commands of the evidence, a file for each question they answer: arguments and printing only."""
