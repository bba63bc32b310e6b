"""One self-contained HTML page on a network: quality, cost, what its neurons do, example pictures."""
