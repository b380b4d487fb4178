"""The web service: one saved model behind HTTP.

Read the files in this order: ``app`` (routes), ``payload`` (request body to rows),
``schema`` (what a row must look like), ``model`` (loading and predicting),
``auth`` (API keys). Everything about the table and the classes comes from
``model_info.json``, so a new model needs no change here.
"""
