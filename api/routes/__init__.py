"""What callers see: `jobs`, `models`, `queues` (with workers), `webhooks`, `health` (with the meanings of problems).

Routes are thin: they read the request, ask the desk or the catalog, and write the answer.
"""
