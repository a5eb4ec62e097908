"""`plot filters`: how strong a model's long filters are, and how far they reach."""

from __future__ import annotations

import logging

from hyenadna_cli.commands.options.groups import with_option_groups
from hyenadna_cli.commands.options.model import ComputeRequest, ModelRequest
from hyenadna_cli.commands.options.picture import Picture
from hyenadna_cli.commands.options.run import Verbosity

log = logging.getLogger(__name__)


@with_option_groups
def filters(*, request: ModelRequest, picture: Picture, verbosity: Verbosity) -> None:
    """Draw a model's long filters: magnitude against distance, effective length of every channel.

    The effective length is the number of taps that hold 95 % (and 50 %) of the sum of their
    squares. Writes the picture and, under the same name with .tsv, a row for every channel.

      hyenadna plot filters -m builtin -o filters.png
    """
    from hyenadna_cli.core.interpretation import filters as core

    picture.check()
    model = request.choose(ComputeRequest(device="cpu"))
    found = list(core.layer_filters(model.load()))
    half, most = core.effective_context(found)
    reach = f"effective context {half:,} bases (median), {most:,} (95 %)"
    title = f"{model.source.name}, filters of {model.config.l_max:,} taps; {reach}"
    core.draw(found, picture.output, title=title, overwrite=picture.force)
    core.write_table(found, picture.table, overwrite=picture.force)
    log.info("%s: %s, by its filters", model.source.name, reach)
