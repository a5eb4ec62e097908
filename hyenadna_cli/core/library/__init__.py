"""The calls that `import hyenadna_cli` offers a notebook; the commands run the same code."""
