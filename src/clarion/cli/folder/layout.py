"""The layout of a configuration folder: which document stands in which file, and where in it everything is.

clarion.yaml                                format, tenant, owns
tenant.yaml  retention.yaml  prices.csv     settings of the tenant
workflows/KEY.yaml                          one file a document; likewise every other kind
templates/KEY/template.yaml                 and its long texts: CHANNEL.LOCALE.html, .txt or .mjml
partials/KEY.html                           its source; KEY.yaml beside it when it has a name
environments/NAME.yaml                      what is different in one environment
schemas/                                    for editors
"""

from __future__ import annotations

SETTINGS = "clarion.yaml"
FORMAT = 1
SCHEMAS, ENVIRONMENTS = "schemas", "environments"
DOCUMENT_ENDINGS = (".yaml", ".yml", ".json")
LONG_FIELDS = {"html": ".html", "mjml": ".mjml", "text": ".txt"}
"""Fields of emails that have files of their own, and how those end."""
FIELD_OF = {ending: field for field, ending in LONG_FIELDS.items()}
PARTIAL_ENDINGS = (".html", ".txt", ".mjml")
PRICE_COLUMNS = ("channel", "provider", "place", "amount", "currency")
DOCUMENTS = "/documents"
