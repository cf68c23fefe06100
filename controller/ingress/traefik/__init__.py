"""Traefik 3, its provider of Ingresses: annotations `traefik.ingress.kubernetes.io/` of Ingresses and Services.

- `table`: its annotations. `routers`: those of Ingresses. `services`: those of Services.
- `middlewares`: Middlewares that Ingresses name; `headers` reads one large kind of them.
"""

from .provider import TRAEFIK

__all__ = ["TRAEFIK"]
