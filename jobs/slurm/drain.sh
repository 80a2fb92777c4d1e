# What the batch scripts have in common; they source it. gradflow ends with 75 if it was asked to stop and points are
# missing: then the job is put back into the queue and continues, with the same command, where it stopped.

gradflow=${GRADFLOW:-build/release/bin/gradflow}      # GRADFLOW=/elsewhere/gradflow sbatch ...
most_restarts=${MOST_RESTARTS:-100}                   # a point longer than the time limit would be tried for ever

if [ ! -x "$gradflow" ]; then
  echo "there is no program $gradflow; build it (./jobs/quickstart.sh), submit from the folder of gradflow, or set GRADFLOW" >&2
  exit 2
fi

# Since version 22.05 Slurm no longer tells srun how many cores a rank was promised.
export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}

# A node that falls silent is missed by mpirun within half a minute; left alone, it would wait for eight.
export OMPI_MCA_oob_tcp_keepalive_time=${OMPI_MCA_oob_tcp_keepalive_time:-15}
export OMPI_MCA_oob_tcp_keepalive_intvl=${OMPI_MCA_oob_tcp_keepalive_intvl:-5}
export OMPI_MCA_oob_tcp_keepalive_probes=${OMPI_MCA_oob_tcp_keepalive_probes:-3}

say() { echo "$(date +%FT%T) job ${SLURM_JOB_ID:-none}, start $((${SLURM_RESTART_COUNT:-0} + 1)): $*"; }

# Whether every node of the job still starts a program. One that dies takes the ranks of the others with it, and the
# launcher ends long before Slurm misses the node.
nodes_answer() {
  local nodes=${SLURM_JOB_NUM_NODES:-1}
  [ "$nodes" -eq 1 ] || timeout --kill-after=10 120 srun --mpi=none --overlap --nodes="$nodes" --ntasks="$nodes" \
    --ntasks-per-node=1 --cpus-per-task=1 true >/dev/null 2>&1
}

# What ended with status $1 is to be continued: not after a failure or a mistake, which would only come again; nor after a
# TERM, by which Slurm says that the job was cancelled or must give way to another: then Slurm itself puts it back, or not.
is_to_be_continued() {
  [ "$asked_by" != TERM ] || return 1
  case $1 in
    75) ;;
    138) ;;                # the request came before the program could listen: nothing was lost, nothing was done
    143) ;;                # srun ends ranks that have not ended as fast as the first one
    0 | 2) return 1 ;;
    *)
      if nodes_answer; then return 1; fi
      say "a node of this job does not answer"
      ;;
  esac
}

put_back() {
  if [ "$most_restarts" -eq 0 ]; then
    say "not put back, as was asked for: submit the same job to continue"
  elif [ "${SLURM_RESTART_COUNT:-0}" -ge "$most_restarts" ]; then
    say "not put back: it was started $((most_restarts + 1)) times; is one point longer than the time limit?"
  elif scontrol requeue "$SLURM_JOB_ID"; then
    sleep 60               # Slurm ends this script here
  fi
}

# A signal came: the step drains.
ask() {
  trap '' USR1 TERM
  asked_by=$1
  say "asked to stop ($1)"
  kill -USR1 $step 2>/dev/null
}

# run_and_requeue LAUNCHER...: runs it, passes a request to stop on to it, and puts the job back if points are missing.
run_and_requeue() {
  say "on ${SLURM_JOB_NODELIST:-this machine}: $*"
  "$@" &
  step=$!
  # Slurm signals this script only. A TERM is never passed on as it came: mpirun would kill the ranks a second later.
  # Once is enough.
  asked_by=
  trap 'ask USR1' USR1
  trap 'ask TERM' TERM
  wait $step
  local status=$?
  while kill -0 $step 2>/dev/null; do      # a signal ends wait before the step has ended
    wait $step
    status=$?
  done
  # Slurm tells ranks and script of an end in any order: here it may still be on its way.
  if [ $status -eq 75 ] && [ -z "$asked_by" ]; then sleep 2; fi
  trap '' USR1 TERM

  say "ended with $status"
  if is_to_be_continued $status; then put_back; fi
  exit $status
}
