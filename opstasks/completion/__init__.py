"""The Tab key: the scripts that make bash, zsh and fish complete our commands."""
