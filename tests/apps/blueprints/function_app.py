"""An app over several files: each has a blueprint, this one registers them."""

import azure.durable_functions as df
import azure.functions as func
from bakery import cakes, opening_hours, orders  # type: ignore[import-not-found] # found at run time, in this folder

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
app.register_functions(opening_hours.blueprint)
app.register_blueprint(cakes.blueprint)
app.register_blueprint(orders.blueprint)
