"""The commands of `headrace`, by what they are about; `cli` puts them together.

Most talk to the API through `client`. Those about keys, tenants and the secrets of webhooks talk to Redis itself
(`redis_link`), since whoever may do that needs no key. `jobs` also says how documents and tables are printed.
"""
