"""The program that runs on the host: the facts that `doctor` judges."""
