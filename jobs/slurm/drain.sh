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

say() { echo "$(date +%FT%T) job ${SLURM_JOB_ID:-none}, start $((${SLURM_RESTART_COUNT:-0} + 1)): $*"; }

# run_and_requeue LAUNCHER...: runs it, passes a request to stop on to it, and puts the job back if points are missing.
run_and_requeue() {
  say "on ${SLURM_JOB_NODELIST:-this machine}: $*"
  "$@" &
  local step=$!
  # Slurm signals this script only. A TERM is never passed on as it came: mpirun would kill the ranks a second later.
  # Once is enough.
  trap 'trap "" USR1 TERM; say "asked to stop"; kill -USR1 $step' USR1 TERM
  wait $step
  local status=$?
  while kill -0 $step 2>/dev/null; do      # a signal ends wait before the step has ended
    wait $step
    status=$?
  done
  trap '' USR1 TERM

  say "ended with $status"
  # 138: the request came before the program could listen. Nothing was lost, nothing was done.
  if [ $status -eq 75 ] || [ $status -eq 138 ]; then
    if [ "${SLURM_RESTART_COUNT:-0}" -lt "$most_restarts" ]; then
      scontrol requeue "$SLURM_JOB_ID" && sleep 60      # Slurm ends this script here
    else
      say "not put back: it was started $most_restarts times; is one point longer than the time limit?"
    fi
  fi
  exit $status
}
