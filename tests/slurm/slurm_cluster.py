"""A real Slurm of two virtual nodes on this machine: daemons, keys, ports and folders of its own; needs no privilege."""
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import family
import program

NODES = ("n1", "n2")
JOBS = Path(__file__).resolve().parents[2] / "jobs"

# Daemons of Debian are not on everybody's path.
os.environ["PATH"] += ":/usr/sbin:/sbin"

# cred_expire: a job that was put back may start after that time, 120 seconds if left alone.
# config_overrides: the nodes may promise more cores than this machine has.
CONFIGURATION = """
ClusterName=gradflow
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={ports[0]}
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool_%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd_%n.pid
TmpFS={folder}/tmp_%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
JobRequeue=1
KillWait=10
MinJobAge=3600
InactiveLimit=0
SlurmctldTimeout=120
SlurmdTimeout={silence}
MessageTimeout=60
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=16 RealMemory=16000 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=16 RealMemory=16000 State=UNKNOWN
PartitionName=long Nodes=ALL Default=YES PriorityTier=1 MaxTime=INFINITE GraceTime=20 State=UP
PartitionName=urgent Nodes=ALL PriorityTier=9 MaxTime=INFINITE State=UP
"""


def free_ports(count):
    """Ports nobody listens on, outside the range that the system gives to connections."""
    found = []
    while len(found) < count:
        port = random.SystemRandom().randrange(10000, 32000)
        with socket.socket() as tried:
            try:
                tried.bind(("", port))
                found.append(port)
            except OSError:
                pass
    return found


class SlurmCluster:
    """Up when constructed, down after end(); down too when the process that made it is killed.

    @param silence  seconds after which a node that does not answer counts as down
    """

    def __init__(self, folder, silence=300):
        self.folder = Path(folder)
        self.family = family.Family(self.folder)
        for name in ("state", "munge", "spool_n1", "spool_n2", "tmp_n1", "tmp_n2"):
            (self.folder / name).mkdir(mode=0o755)
        # Open MPI takes two nodes of one host name for one host, and would look for shared memory that is not shared.
        self.environment = os.environ | {"SLURM_CONF": str(self.folder / "slurm.conf"), "OMPI_MCA_btl": "self,tcp",
                                         "OMPI_MCA_btl_tcp_if_include": "lo", "OMPI_MCA_oob_tcp_if_include": "lo"}
        try:
            self.configure(silence)
            self.start_munge()
            self.daemon("slurmctld", "slurmctld", "-D", "-c")
            self.slurmd = {node: self.daemon(f"slurmd_{node}", "slurmd", "-D", "-N", node) for node in NODES}
            self.wait(lambda: self.states().count("idle") == len(NODES), 120, "both nodes are idle")
        except BaseException:
            self.end()
            raise

    def configure(self, silence):
        text = CONFIGURATION.format(host=socket.gethostname().split(".")[0], user=pwd.getpwuid(os.getuid()).pw_name, folder=self.folder,
                                    ports=free_ports(3), silence=silence)
        (self.folder / "slurm.conf").write_text(text)

    def start_munge(self):
        here = self.folder / "munge"
        (here / "key").write_bytes(os.urandom(128))
        (here / "key").chmod(0o400)
        self.daemon("munged", "munged", "--foreground", "--force", f"--key-file={here}/key", f"--socket={here}/socket",
                    f"--pid-file={here}/pid", f"--log-file={here}/log", f"--seed-file={here}/seed", "--num-threads=2")
        self.wait((here / "socket").exists, 60, "munged listens")

    def daemon(self, name, *command):
        return self.family.start(*command, log=self.folder / f"{name}.log", env=self.environment)

    def restart(self, node):
        """As a node that boots with an empty /tmp and /run: pmix of Slurm 22.05 starts no step whose socket is still there."""
        for name in (f"tmp_{node}", f"spool_{node}"):
            shutil.rmtree(self.folder / name)
            (self.folder / name).mkdir(mode=0o755)
        self.slurmd[node] = self.daemon(f"slurmd_{node}", "slurmd", "-D", "-N", node)

    def crash(self, node):
        """kill -9 of the node's slurmd, its step daemons and whatever they started."""
        of_node = lambda pid: f"SLURMD_NODENAME={node}\0" in read_of_process(pid, "environ")
        steps = [pid for pid in family.descendants(self.family.guard_pid)
                 if "slurmstepd" in read_of_process(pid, "cmdline") and any(map(of_node, family.descendants(pid)))]
        lost = {below for pid in [*steps, self.slurmd[node]] for below in (pid, *family.descendants(pid))}
        program.signal_each(lost, signal.SIGKILL)
        self.wait(lambda: not any(map(program.is_running, lost)), 60, f"{node} has gone")

    def run(self, *command, check=True, **options):
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=300,
                              env=self.environment | options.pop("env", {}), **options)
        if check and done.returncode != 0:
            raise AssertionError(f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def states(self):
        found = self.run("sinfo", "--noheader", "--Node", "--partition=long", "--format=%T", check=False)
        return found.stdout.split()

    def submit(self, *arguments, **environment):
        """@return the job's number, as text"""
        return self.run("sbatch", "--parsable", *arguments, env=environment).stdout.strip()

    def job(self, number):
        """What Slurm says of a job: JobState, Restarts, ..."""
        text = self.run("scontrol", "--oneliner", "show", "job", number).stdout
        return dict(word.split("=", 1) for word in text.split() if "=" in word)

    def wait(self, happened, seconds, what):
        if not program.wait_until(happened, seconds, pause=0.1):
            raise AssertionError(f"waited {seconds} s until {what}{self.logs()}")

    def logs(self):
        return "".join(f"\n--- {log.name}\n{log.read_text()[-3000:]}" for log in sorted(self.folder.glob("*.log")))

    def end(self):
        self.family.end()


def read_of_process(pid, name):
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes().decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return ""
