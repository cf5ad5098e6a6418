"""The parts of the sandbox that are made without starting anything."""

import contextlib
import ctypes
import errno
import os
import ssl
import stat
import subprocess
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hostside import inotify_instances

from eksnet.errors import EksnetError
from eksnet.sandbox import (
    components,
    holder,
    launching,
    paths,
    pki,
    preflight,
    state,
    userland,
)
from eksnet.sandbox.vpc import plan


def test_addresses_come_in_a_fixed_order():
    vpc = plan()
    assert [(str(n.address), str(n.gateway), str(n.pods)) for n in vpc.nodes] == [
        ("10.0.128.10/20", "10.0.128.1", "10.0.129.0/24"),
        ("10.0.144.10/20", "10.0.144.1", "10.0.145.0/24"),
    ]
    assert [n.zone for n in vpc.nodes] == ["ap-northeast-2a", "ap-northeast-2c"]
    assert vpc.nodes[0].name == "ip-10-0-128-10.ap-northeast-2.compute.internal"
    assert str(vpc.resolver) == "10.0.0.2"
    assert str(vpc.cluster_dns) == "10.100.0.10"


def test_the_oldest_region_has_a_domain_of_its_own():
    assert plan("us-east-1").nodes[0].name == "ip-10-0-128-10.ec2.internal"


def test_pods_never_take_a_nodes_address():
    for node in plan().nodes:
        assert node.pods.subnet_of(node.address.network)
        assert node.address.ip not in node.pods


def test_the_vpc_resolver_knows_its_instances_and_nothing_else():
    corefile = components.vpc_resolver_corefile(plan())
    assert "ap-northeast-2.compute.internal:53 {" in corefile
    # The names of load balancers, in the files that their program replaces.
    assert "ap-northeast-2.elb.amazonaws.com:53 {" in corefile
    assert "elb.ap-northeast-2.amazonaws.com:53 {" in corefile
    assert "file /run/load-balancers/zone {" in corefile
    assert "file /run/load-balancers/network-zone {" in corefile
    # Clients take the first address: each of them is to be the first one now and then.
    assert corefile.count("    loadbalance\n") == 2
    zone = components.vpc_resolver_zone(plan())
    assert "ip-10-0-144-10.ap-northeast-2.compute.internal. 60 IN A 10.0.144.10\n" in zone
    assert "rcode NXDOMAIN" in corefile
    assert "forward" not in corefile


@pytest.mark.parametrize("name", ["", "Big", "a/b", "..", "-a", "a" * 32])
def test_a_name_that_is_no_directory_is_refused(name, monkeypatch):
    monkeypatch.setenv("EKSNET_SANDBOX", name or "_")
    with pytest.raises(EksnetError, match="is not a valid sandbox name"):
        paths.paths()


def test_the_state_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert paths.paths("lab-1").kubeconfig == tmp_path / "eksnet" / "lab-1" / "kubeconfig"


def test_every_identity_has_the_rights_that_upstream_expects(tmp_path):
    vpc = plan()
    pki.ensure(tmp_path, vpc)
    node = x509.load_pem_x509_certificate((tmp_path / "node1.crt").read_bytes())
    names = [attribute.value for attribute in node.subject]
    assert names == ["system:nodes", f"system:node:{vpc.nodes[0].name}"]
    server = x509.load_pem_x509_certificate((tmp_path / "apiserver.crt").read_bytes())
    alternatives = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    addresses = alternatives.get_values_for_type(x509.IPAddress)
    assert {ip_address("127.0.0.1"), vpc.api_server, vpc.kubernetes_service} == set(addresses)
    authority = x509.load_pem_x509_certificate((tmp_path / "ca.crt").read_bytes())
    server.verify_directly_issued_by(authority)
    common = server.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    assert common == "kubernetes"


def test_the_strictest_client_believes_the_certificates(tmp_path):
    pki.ensure(tmp_path, plan())
    client = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
    # What Python 3.13 asks of every certificate.
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(tmp_path / "ca.crt"))
    server.verify_flags |= ssl.VERIFY_X509_STRICT
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_cert_chain(tmp_path / "apiserver.crt", tmp_path / "apiserver.key")
    client.load_cert_chain(tmp_path / "node1.crt", tmp_path / "node1.key")
    assert (
        handshake(client, server, str(plan().api_server)) == f"system:node:{plan().nodes[0].name}"
    )


def handshake(client, server, name):
    """Let two sides talk until both believe each other; return the client's common name."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(to_client, to_server, server_hostname=name)
    answering = server.wrap_bio(to_server, to_client, server_side=True)
    for side in (asking, answering, asking, answering):
        with contextlib.suppress(ssl.SSLWantReadError):
            side.do_handshake()
    subject = dict(pair for ((pair),) in answering.getpeercert()["subject"])
    return subject["commonName"]


def test_keys_are_the_owners_alone_and_made_once(tmp_path):
    pki.ensure(tmp_path, plan())
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    pki.ensure(tmp_path, plan())
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()} == {0o600}


def test_state_of_another_version_is_refused_and_kept(tmp_path):
    own = paths.Paths(tmp_path / "s")
    own.cluster.mkdir(parents=True)
    (own.cluster / "etcd").mkdir()
    own.version.write_text("0 kubernetes-1.29\n")
    with pytest.raises(EksnetError, match=r"another version \(0 kubernetes-1.29\)") as caught:
        state.prepare(own, plan())
    assert "eksnet reset" in caught.value.next_step
    assert (own.cluster / "etcd").is_dir()


STRANGER = 54321


@pytest.fixture
def ordinary():
    """Be an ordinary user, whom the mode of a directory can stop."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(STRANGER)
    yield
    os.seteuid(0)


def test_what_containers_locked_is_removed_and_what_they_linked_to_is_not(tmp_path, request):
    own, mine = (tmp_path / name for name in ("disk", "mine"))
    shut = own / "var" / "shut"
    shut.mkdir(parents=True)
    mine.mkdir(mode=0o755)
    (mine / "file").write_text("mine")
    (mine / "file").chmod(0o640)
    for name, target in (("directory", mine), ("file", mine / "file")):
        (shut / name).symlink_to(target)
    (shut / "below" / "more").mkdir(parents=True)
    (shut / "below").chmod(0)
    shut.chmod(0o555)
    if os.geteuid() == 0:
        subprocess.run(["chown", "-Rh", str(STRANGER), tmp_path], check=True)
        # pytest's own directories, which only root may enter.
        for parent in (tmp_path, *list(tmp_path.parents)[:3]):
            parent.chmod(parent.stat().st_mode | 0o011)
    request.getfixturevalue("ordinary")
    state.remove(own)
    assert not own.exists()
    assert (mine / "file").read_text() == "mine"
    assert [stat.S_IMODE(p.stat().st_mode) for p in (mine, mine / "file")] == [0o755, 0o640]
    state.remove(own)


def test_a_taken_port_is_named_with_the_way_out(tmp_path):
    own = paths.Paths(tmp_path)
    with launching.listen(own, 0) as taken:
        port = taken.getsockname()[1]
        used = f"127.0.0.1:{port} is used by another program"
        with pytest.raises(EksnetError, match=used) as caught:
            launching.listen(own, port)
    assert "--port 0" in caught.value.next_step


def test_missing_programs_are_listed(monkeypatch):
    monkeypatch.setattr(preflight, "search_path", lambda: "/nowhere")
    with pytest.raises(EksnetError, match="not installed: unshare, nsenter, ip, iptables"):
        preflight.check_computer()


def test_a_computer_without_user_namespaces(tmp_path, monkeypatch):
    refusing = tmp_path / "unshare"
    refusing.write_text("#!/bin/sh\necho 'unshare failed: Operation not permitted' >&2\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(EksnetError, match="Operation not permitted") as caught:
        preflight.check_computer()
    assert "make lab" in caught.value.next_step


@pytest.mark.parametrize(
    ("root", "ids", "expected"),
    [
        (0, "0 0 4294967295", "0 65536 65536"),  # root of the computer
        (0, "0 100000 65536", "0 0 65536"),  # root of a container, with nothing to spare
        (0, "0 1000 1", "0 0 1"),  # root of one id
        (1000, "0 0 4294967295", "0 0 1"),
    ],
)
def test_a_nodes_ids_are_nobodys_where_there_are_some(monkeypatch, root, ids, expected):
    monkeypatch.setattr(launching.os, "geteuid", lambda: root)
    monkeypatch.setattr(launching.Path, "read_text", lambda _: f"{ids}\n")
    assert launching.node_ids() == expected


def test_too_few_inotify_instances(monkeypatch):
    given = []

    class Kernel:
        def inotify_init1(self, flags):
            if len(given) == 5:
                ctypes.set_errno(errno.EMFILE)
                return -1
            given.append(os.open("/dev/null", flags))
            return given[-1]

    monkeypatch.setattr(preflight, "_libc", Kernel())
    with pytest.raises(EksnetError, match="5 inotify instances are free for this user") as caught:
        preflight.check_inotify(16)
    assert "Too many open files" in caught.value.seen
    assert caught.value.expected.startswith("16: ")
    assert caught.value.next_step == "sudo sysctl fs.inotify.max_user_instances=512"
    # What was taken to see is given back.
    assert not [one for one in given if Path(f"/proc/self/fd/{one}").exists()]


def test_enough_inotify_instances_are_counted_and_given_back():
    before = inotify_instances([os.getpid()])
    preflight.check_inotify(3)
    assert inotify_instances([os.getpid()]) == before


@pytest.mark.parametrize("text", ["", "1", "soon", "1m ", "-5s"])
def test_a_sync_frequency_that_is_no_time_is_refused(text):
    with pytest.raises(EksnetError, match="is an invalid duration"):
        preflight.check_duration(text)


@pytest.mark.parametrize("text", [None, "5s", "1m", "1m30s", "0.5h", "500ms"])
def test_a_sync_frequency_as_go_writes_it(text):
    preflight.check_duration(text)


def test_another_operating_system(monkeypatch):
    monkeypatch.setattr(preflight.sys, "platform", "darwin")
    with pytest.raises(EksnetError, match="this is darwin"):
        preflight.check_computer()


def test_no_static_busybox(tmp_path, monkeypatch):
    monkeypatch.setattr(state.shutil, "which", lambda *_, **__: None)
    with pytest.raises(EksnetError, match="no static busybox"):
        userland.busybox(paths.Paths(tmp_path))


def test_musls_lookup_is_compiled_once(tmp_path):
    own = paths.Paths(tmp_path)
    getent = userland.musl(own) / "getent"
    found = subprocess.run([getent, "ahosts", "127.0.0.1"], capture_output=True, text=True)
    assert (found.returncode, found.stdout.split()[:2]) == (0, ["127.0.0.1", "STREAM"])
    before = getent.stat().st_mtime_ns
    assert (userland.musl(own) / "getent").stat().st_mtime_ns == before
    (own.state / "musl" / "getent.c").write_text("of another version")
    assert (userland.musl(own) / "getent").stat().st_mtime_ns > before


@pytest.mark.parametrize("compiler", [None, "/bin/false"])
def test_a_sandbox_does_without_musl(tmp_path, monkeypatch, compiler):
    monkeypatch.setattr(state.shutil, "which", lambda *_, **__: compiler)
    assert list(userland.musl(paths.Paths(tmp_path)).iterdir()) == []


def test_a_pid_that_now_is_another_process_is_not_believed(tmp_path):
    own = paths.Paths(tmp_path)
    paths.write_private(own.pid, f"1 {int(holder.start_time(1)) + 1}")
    assert holder.recorded(own) is None
