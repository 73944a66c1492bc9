"""How Amberflo is spoken to: as we are, as its clients tell refusals by their status alone."""

from functions._http import OWN_DIALECT

DIALECT = OWN_DIALECT
