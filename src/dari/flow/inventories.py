"""A base's inventory: from the cache, else from the registry where a colleague attached it, else scanned now."""

from dari.bases import decode, encode, scan
from dari.errors import OutsideError
from dari.flow.session import Session
from dari.values import media
from dari.values.image import Image
from dari.values.inventory import Inventory
from dari.values.malformed import Malformed
from dari.values.manifest import Manifest
from dari.values.reference import Location, Reference


def inventory_of(image: Image, location: Location, session: Session) -> Inventory:
    """Return the inventory of a base, streaming its layers only where nobody has done so before."""
    return cached(image, session) or attached(image, location, session) or scanned(image, session)


def cached(image: Image, session: Session) -> Inventory | None:
    """Return the inventory that this machine made or fetched before."""
    content = session.store.record("inventory", str(image.digest))
    try:
        return decode(content) if content else None
    except Malformed:  # written by another version of dari, or rotten: make it again
        return None


def attached(image: Image, location: Location, session: Session) -> Inventory | None:
    """Return the inventory that is attached to the image in its registry as a referrer."""
    if not isinstance(location, Reference):
        return None
    subject = location.at(image.digest)
    try:
        found = session.client.referrers(subject, media.DARI_INVENTORY)
        for descriptor in reversed(found):
            artifact = session.client.manifest(location.at(descriptor.digest))
            if not isinstance(artifact, Manifest) or not artifact.layers:
                continue
            blob = artifact.layers[0]
            inventory = decode(session.client.blob(location, blob, limit=256 << 20))
            if inventory.manifest == image.digest:
                session.progress.say(f"inventory of {location.name}: attached in the registry")
                return remember(inventory, session)
    except (OutsideError, Malformed):  # a registry without referrers, or one that isn't ours
        return None
    return None


def scanned(image: Image, session: Session) -> Inventory:
    """Stream the image's layers once and keep what they hold."""
    session.progress.say("scanning the base once: its layers are streamed, nothing but the inventory is kept")
    return remember(scan(image, session.progress, workers=session.settings.workers), session)


def remember(inventory: Inventory, session: Session) -> Inventory:
    """Keep an inventory on this machine, by the digest of the manifest it was made from."""
    session.store.remember("inventory", str(inventory.manifest), encode(inventory))
    return inventory
