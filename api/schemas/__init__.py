"""The shapes of all answers, for the OpenAPI document; routes write plain dictionaries, tests hold them to these."""
