"""How Amberflo's requests are read: its clients tell refusals by their status alone."""

from functions._body import read_json
from functions._http import Dialect, problem
from functions._validation import distinct

DIALECT = Dialect(
    read_query=distinct,
    read_body=lambda request, kinds: read_json(request.headers, request.body, kinds),
    refuse=problem,
)
