"""The jobs commands' programs that run on a host."""
