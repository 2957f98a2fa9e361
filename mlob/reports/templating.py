"""The templates of our pages, which load nothing from elsewhere and share one style."""

import base64

import jinja2

OURS = "mlob.reports"


def template(name: str, package: str = OURS) -> jinja2.Template:
    """Load a template of a package, which may build on those of `mlob.reports`."""
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader(
            [jinja2.PackageLoader(each, "templates") for each in dict.fromkeys((package, OURS))]
        ),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )
    environment.filters["data_uri"] = data_uri
    return environment.get_template(name)


def data_uri(image: bytes) -> str:
    """Give a JPEG as an address that holds it whole."""
    return f"data:image/jpeg;base64,{base64.b64encode(image).decode()}"
