"""`python -m cli`."""

from cli.entrypoint import main

main()
