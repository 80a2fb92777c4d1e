"""What a result file says, compared byte for byte."""
import hashlib

import h5py
import numpy as np


def is_run_fact(variable):
    """Whether it may differ between two runs of one sweep."""
    return variable.attrs.get("run_fact", 0) == 1


def contents(path):
    """Bytes of every variable that may not differ between two runs, and of every root attribute."""
    with h5py.File(path, "r") as file:
        found = {f"attribute {name}": repr(value).encode() for name, value in file.attrs.items()}
        for name, variable in file.items():
            if is_run_fact(variable):
                continue
            value = np.asarray(variable[()])
            text = repr(value.tolist()).encode() if value.dtype == object else value.tobytes()
            found[name] = f"{value.dtype} {value.shape} ".encode() + text
        return found


def one_hash(path):
    """One hash of all statistics."""
    total = hashlib.sha256()
    for name, value in sorted(contents(path).items()):
        total.update(name.encode() + b"\0" + hashlib.sha256(value).digest())
    return total.hexdigest()


def differences(one, other):
    """Names of what differs."""
    a, b = contents(one), contents(other)
    return sorted(name for name in a.keys() | b.keys() if a.get(name) != b.get(name))


def statuses(path):
    with h5py.File(path, "r") as file:
        return file["status"][()]


def rows(path, points):
    """Every value of some points, facts of the run too: what may not change once a point is committed."""
    with h5py.File(path, "r") as file:
        found = {}
        for name, variable in file.items():
            if name.startswith("launch") or variable.ndim == 0:
                continue
            if variable.shape[0] == len(file["status"]):
                found[name] = variable[()][points].tolist()
            elif "point_index" in file and variable.shape[0] == len(file["point_index"]):
                found[name] = variable[()][np.isin(file["point_index"][()], points)].tolist()
        return {name: repr(value) for name, value in found.items()}


def launches(path, fact):
    """One fact of every launch the file remembers: launch_hosts, launch_job, launch_start, ..."""
    with h5py.File(path, "r") as file:
        texts = [b"".join(row.tolist()).decode() for row in file[fact][()]]
        return [text for text, start in zip(texts, file["launch_start"][()]) if (start != b"").any()]


def differing_points(path, other, points):
    """How many of these points the two files do not agree on, in any variable that may not differ between two runs."""
    if len(points) == 0:
        return 0
    with h5py.File(path, "r") as one, h5py.File(other, "r") as two:
        differ = np.zeros(len(points), bool)
        for name, variable in one.items():
            if is_run_fact(variable) or variable.ndim == 0 or variable.shape[0] != len(one["status"]):
                continue
            a, b = variable[()][points], two[name][()][points]
            if a.dtype != object:
                a, b = (np.ascontiguousarray(it).reshape(len(points), -1).view(np.uint8) for it in (a, b))
            differ |= (a.reshape(len(points), -1) != b.reshape(len(points), -1)).any(axis=1)
        return int(differ.sum())
