"""The site register: who is where, on which link, with which hosts. The source everything else is fed from.

`load(folder)` reads inventories/<province> once, checks all of it, and gives a frozen `Province`:

    province.code .name .domain .operator .lab .folder .secrets_dir .tiers .sites .hub .hub_host
    site.code .name .tier .parent .domain .network .board .link .hosts .contact .pilot .is_hub .group .mail_host
    link.link_class .provider .kind .down_bps .up_bps (bit/s) .rtt (timedelta) .loss (0..1)      None for the hub
    host.name .inventory_name .fqdn .address .year .model .ram_mb .cores .suite .functions
"""

from tram.register.loading import load
from tram.register.model import Board, Contact, Host, Link, Province, Site, Tier
from tram.register.problem import Problem, RegisterInvalid

__all__ = ["Board", "Contact", "Host", "Link", "Problem", "Province", "RegisterInvalid", "Site", "Tier", "load"]
