"""What ingress-nginx 1.15 answers to a request: the other side of a comparison with what Ingresses are converted to.

Written from its sources and from nginx' rules, and by nothing that converts: of the migration it knows the structs of
objects, and requests and answers (`probes.exchange`); `.importlinter` holds that.

`written` and `rules` read annotations, `selection` and `servers` make what the template makes of Ingresses, `uri` and
`matching` are nginx', `nginx` answers. What it cannot say: answers of backends, counts, times, snippets.
"""

from .nginx import Model
from .objects import Objects

__all__ = ["Model", "Objects"]
