"""python -m hyenadna_cli"""

from hyenadna_cli.cli import main

main()
