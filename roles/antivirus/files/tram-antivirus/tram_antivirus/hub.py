"""The hub's mirror over one HTTPS connection, both sides known by their certificates."""

from __future__ import annotations

import http.client
import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tram_antivirus.release import MAX_BYTES, File, Refused
from tram_antivirus.settings import Failed, Settings

SECONDS = 30
CHUNK = 1 << 16
TCP_INFO_BYTES = 120
"""Where struct tcp_info (linux/tcp.h) has bytes_acked and, behind it, bytes_received."""


class Unreachable(Failed):
    """The hub did not answer, or not as it should: try again."""


class _Connection(http.client.HTTPSConnection):
    """To an address that was given, so that a name server that is away keeps nothing back."""

    def __init__(self, settings: Settings) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_verify_locations(settings.ca_file)
            context.load_cert_chain(settings.chain_file, settings.key_file)
        except OSError as error:
            raise Failed(f"{settings.chain_file}: {error}: role pki makes this host's certificate") from error
        super().__init__(settings.mirror_name, settings.mirror_port, timeout=SECONDS, context=context)
        self.context, self.address = context, (settings.mirror_address, settings.mirror_port)

    def connect(self) -> None:
        """Connect to the address, ask for the name."""
        plain = socket.create_connection(self.address, timeout=SECONDS)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.sock = self.context.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise


class Hub:
    """The mirror; whoever asks is known there by its certificate."""

    def __init__(self, settings: Settings) -> None:
        self.connection = _Connection(settings)
        self.etag = ""

    @contextmanager
    def _get(self, path: str, headers: dict[str, str], accepted: tuple[int, ...]) -> Iterator[http.client.HTTPResponse]:
        try:
            self.connection.request("GET", path, headers=headers)
            response = self.connection.getresponse()
            if response.status not in accepted:
                raise Unreachable(f"the hub answered {response.status} {response.reason} to {path}")
            yield response
            response.read(CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(f"the hub ({self.connection.address[0]}) is not reached: {error!r}") from error
        except BaseException:
            self.connection.close()
            raise

    def release(self, etag: str) -> bytes | None:
        """release.json; None when it still is the one of that etag. At most one byte more than may be is read."""
        headers = {"If-None-Match": etag} if etag else {}
        with self._get("/signatures/release.json", headers, (200, 304)) as response:
            if response.status == 304:
                return None
            content = response.read(MAX_BYTES + 1)
            if len(content) > MAX_BYTES:
                raise Refused(f"release.json is over {MAX_BYTES} bytes")
            if response.length:
                raise Unreachable("release.json broke off")
            self.etag = response.getheader("ETag") or ""
            return content

    def file(self, file: File, to: Path) -> None:
        """Bring a file, going on where an earlier try broke off.

        Raises:
            Unreachable: it broke off; what came is kept for the next try.
            Refused: it is longer than the release says.
        """
        have = to.stat().st_size if to.exists() else 0
        if have > file.size:
            to.unlink()
            have = 0
        if have == file.size and have:
            return
        headers = {"Range": f"bytes={have}-"} if have else {}
        with self._get(f"/signatures/files/{file.sha256}", headers, (200, 206)) as response:
            with to.open("ab" if response.status == 206 else "wb") as part:
                have = part.tell()
                while content := response.read1(CHUNK):
                    have += len(content)
                    if have > file.size:
                        part.truncate(0)
                        raise Refused(f"{file.name} is longer than the release says ({file.size} bytes)")
                    part.write(content)
            if response.length:
                raise Unreachable(f"{file.name} broke off at {have} of {file.size} bytes")

    def seen(self, serial: int, profile: str, state: str) -> None:
        """Tell the hub what is in effect here."""
        path = f"/signatures/seen/{serial}?profile={profile}&state={state}"
        try:
            with self._get(path, {}, (204,)):
                return
        except Unreachable:
            # It may have hung up while the scanner read its signatures.
            self.connection.close()
        with self._get(path, {}, (204,)):
            pass

    def bytes_moved(self) -> tuple[int, int]:
        """Bytes sent and received on the present connection, TLS included, TCP's headers not; zeros when unknown."""
        if self.connection.sock is None:
            return 0, 0
        try:
            info = self.connection.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES + 16)
            sent, received = struct.unpack_from("=QQ", info, TCP_INFO_BYTES)
        except (OSError, struct.error):
            return 0, 0
        return int(sent), int(received)

    def close(self) -> None:
        """Hang up."""
        self.connection.close()
