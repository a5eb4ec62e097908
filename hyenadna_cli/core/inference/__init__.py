"""Records to windows, batches and rows of results, with a model that is done learning."""
