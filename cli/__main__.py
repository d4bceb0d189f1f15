"""`python -m cli`."""

from cli.leaving import main

main()
