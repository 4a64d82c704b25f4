"""base - the tree under every sandbox: a small / and a layer over /usr.

Made once per start from the machine's own files, never from its / as a whole:
nothing of the machine's /root, /home, /var or secrets can show.
"""

import os
import shutil

DIRECTORIES = (
    ("dev", 0o755), ("etc", 0o755), ("home", 0o755), ("media", 0o755),
    ("mnt", 0o755), ("opt", 0o755), ("opt/mitos", 0o755), ("proc", 0o555),
    ("root", 0o700), ("run", 0o755), ("run/lock", 0o1777), ("srv", 0o755),
    ("sys", 0o555), ("tmp", 0o1777), ("usr", 0o755), ("var", 0o755),
    ("var/cache", 0o755), ("var/lib", 0o755), ("var/log", 0o755),
    ("var/tmp", 0o1777), ("workspace", 0o755),
)

# Directories that are links into /usr on the machine are the same inside.
TOP_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")

FROM_MACHINE = (
    "alternatives", "bash.bashrc", "debian_version", "fonts", "gai.conf",
    "host.conf", "inputrc", "ld.so.cache", "ld.so.conf", "ld.so.conf.d",
    "localtime", "locale.alias", "login.defs", "magic", "magic.mime",
    "matplotlibrc", "mime.types", "networks", "os-release", "pam.conf",
    "pam.d", "perl", "profile", "protocols", "python3", "python3.11", "rpc",
    "security", "services", "shells", "skel", "ssl", "terminfo", "timezone",
    "xattr.conf",
)

PASSWD = """\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
bin:x:2:2:bin:/bin:/usr/sbin/nologin
sys:x:3:3:sys:/dev:/usr/sbin/nologin
man:x:6:12:man:/var/cache/man:/usr/sbin/nologin
mail:x:8:8:mail:/var/mail:/usr/sbin/nologin
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
_apt:x:42:65534::/nonexistent:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
user:x:1000:1000:user:/home/user:/bin/bash
"""

GROUP = """\
root:x:0:
daemon:x:1:
bin:x:2:
sys:x:3:
adm:x:4:
tty:x:5:
disk:x:6:
mail:x:8:
man:x:12:
sudo:x:27:user
www-data:x:33:
shadow:x:42:
utmp:x:43:
staff:x:50:
games:x:60:
users:x:100:
nogroup:x:65534:
user:x:1000:
"""

SUDOERS = """\
Defaults env_reset
Defaults secure_path="/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:\
/sbin:/bin"
root ALL=(ALL:ALL) ALL
user ALL=(ALL:ALL) NOPASSWD:ALL
"""

HOSTS = """\
127.0.0.1 localhost sandbox
::1 localhost ip6-localhost ip6-loopback
"""

NSSWITCH = """\
passwd: files
group: files
shadow: files
gshadow: files
hosts: files dns
networks: files
protocols: files
services: files
"""

PIP_CONF = """\
[global]
break-system-packages = true
disable-pip-version-check = true
root-user-action = ignore
"""

HOSTNAME = "sandbox"


class Unable(Exception):
    """The tree cannot be made."""


def _write(path, text, mode=0o644, gid=0):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)
    os.chown(path, 0, gid)


def _shadow(passwd):
    names = [line.split(":")[0] for line in passwd.splitlines()]
    return "".join(f"{name}:*:19000:0:99999:7:::\n" for name in names)


def _copy(source, target):
    """Copy a file or a tree, keeping links; special files are left out."""
    if os.path.islink(source) and not os.path.exists(source):
        return
    if os.path.isdir(source) and not os.path.islink(source):
        shutil.copytree(source, target, symlinks=True,
                        ignore_dangling_symlinks=True,
                        ignore=_private_keys)
    else:
        shutil.copy2(source, target, follow_symlinks=False)


def _private_keys(directory, names):
    if directory == "/etc/ssl":
        return [name for name in names if name == "private"]
    if directory == "/etc/security":
        return [name for name in names if name == "opasswd"]
    return []


def _make_etc(etc, resolv):
    for name in FROM_MACHINE:
        if os.path.lexists(f"/etc/{name}"):
            _copy(f"/etc/{name}", f"{etc}/{name}")
    _write(f"{etc}/passwd", PASSWD)
    _write(f"{etc}/group", GROUP)
    _write(f"{etc}/shadow", _shadow(PASSWD), 0o640, 42)
    _write(f"{etc}/gshadow",
           "".join(f"{line.split(':')[0]}:*::\n"
                   for line in GROUP.splitlines()), 0o640, 42)
    _write(f"{etc}/sudoers", SUDOERS, 0o440)
    os.mkdir(f"{etc}/sudoers.d", 0o750)
    _write(f"{etc}/hosts", HOSTS)
    _write(f"{etc}/hostname", HOSTNAME + "\n")
    _write(f"{etc}/nsswitch.conf", NSSWITCH)
    _write(f"{etc}/resolv.conf", resolv)
    _write(f"{etc}/pip.conf", PIP_CONF)
    _write(f"{etc}/environment", "")
    _write(f"{etc}/fstab", "")
    os.symlink("/proc/self/mounts", f"{etc}/mtab")


def _resolv(egress):
    if not egress:
        return "# no route out of this sandbox\n"
    with open("/etc/resolv.conf", encoding="utf-8") as file:
        return file.read()


def make(directory, egress):
    """Fill directory with "root" and "usr"; gives nothing back."""
    root, usr = f"{directory}/root", f"{directory}/usr"
    old_mask = os.umask(0)
    try:
        os.makedirs(root, 0o755)
        for name, mode in DIRECTORIES:
            os.mkdir(f"{root}/{name}", mode)
        for name in TOP_LINKS:
            if os.path.islink(f"/{name}"):
                os.symlink(os.readlink(f"/{name}"), f"{root}/{name}")
        if not os.path.islink(f"{root}/bin"):
            raise Unable("/bin is no link to usr/bin: box needs a machine "
                         "with merged /usr")
        os.symlink("../run", f"{root}/var/run")
        os.mkdir(f"{root}/home/user", 0o755)
        for name in (".bashrc", ".profile", ".bash_logout"):
            if os.path.exists(f"/etc/skel/{name}"):
                shutil.copy(f"/etc/skel/{name}", f"{root}/home/user/{name}")
                os.chown(f"{root}/home/user/{name}", 1000, 1000)
        os.chown(f"{root}/home/user", 1000, 1000)
        _make_etc(f"{root}/etc", _resolv(egress))
        driver = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                              "kernel_driver.py")
        shutil.copy(driver, f"{root}/opt/mitos/kernel_driver.py")
        os.makedirs(f"{usr}/bin", 0o755)
        os.symlink("python3", f"{usr}/bin/python")
    finally:
        os.umask(old_mask)
