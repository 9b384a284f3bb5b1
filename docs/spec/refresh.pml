/* One grant that several machines share. Each refresh token serves once: an issuer
 * that sees one a second time ends the grant. README.md in this directory explains the
 * model, its parameters and how to run it.
 *
 * The environment has a budget for each thing that can go wrong, so that the number of
 * states is finite.
 */
#ifndef NODES
#define NODES 2       /* machines */
#endif
#ifndef GETS
#define GETS 2        /* calls of `t2-cred get` on each machine */
#endif
#ifndef EXPIRIES
#define EXPIRIES 2    /* how often the access token may expire, after the first time */
#endif
#ifndef LAPSES
#define LAPSES 2      /* how many leases may run out */
#endif
#ifndef HICCUPS
#define HICCUPS 0     /* writes that are refused without reason, or whose answer is lost */
#endif
#ifndef CRASHES
#define CRASHES 0     /* machines that die for good while they hold the claim */
#endif
#ifndef KILLS
#define KILLS 0       /* gets that are killed when the answer is in a sealed copy on their machine */
#endif
#ifndef CUTS
#define CUTS 0        /* answers of the issuer that are lost on the way */
#endif
#ifndef STALE
#define STALE 0       /* 1: a read may give the item as it was before the last write */
#endif
#ifndef PAUSE
#define PAUSE 0       /* 1: a holder may be stopped for longer than its lease after its last check */
#endif

/* Where the claim is. */
#define ITEM   0      /* in the item that holds the token: the design */
#define BESIDE 1      /* in another item: a lock beside the record */
#define NONE   2      /* nowhere: send, then check-and-set */
#ifndef CLAIM
#define CLAIM ITEM
#endif

/* What a successor does with a token that may have been spent. */
#define ASK   0       /* it asks the issuer (RFC 7662), and spends only what is active */
#define STOP  1       /* it does not spend */
#define SPEND 2       /* it spends */
#ifndef DOUBT
#define DOUBT ASK
#endif
#ifndef FORGET
#define FORGET 0      /* 1: giving the claim up also removes the doubt */
#endif
#ifndef RENEW
#define RENEW 0       /* 1: an own claim that is found again gets a new lease */
#endif
#ifndef BYNAME
#define BYNAME 0      /* 1: a claim is known by its machine, and not by the one get that made it */
#endif
#ifndef BLIND
#define BLIND 0       /* 1: a sealed copy is saved whatever the item holds by now */
#endif
#ifndef DROP
#define DROP 0        /* 1: a refused save is taken to mean that somebody was first */
#endif

/* What must be possible: with REACH set to one of these, spin has to find a way there,
   and calls it a violated assertion. It shows that the model is not empty. */
#define REFRESHES 1   /* the token was refreshed GOAL-1 times, and saved */
#define OWN       2   /* a node found its own claim after a lost answer */
#define ACTIVE    3   /* a successor asked, and may spend */
#define INACTIVE  4   /* a successor asked, or did not, and may not spend */
#define COPY      5   /* a machine saved a copy that a killed get had left */
#ifndef REACH
#define REACH 0
#endif
#ifndef GOAL
#define GOAL 4
#endif
#define REACHED(what) assert(REACH != what)

#define FREE 0        /* no owner; nodes are 1 .. NODES */
#if CLAIM == BESIDE
#define HOLDS (lockOwner == me)
#else
#define HOLDS (item.owner == me && item.version == mine)
#endif

typedef Item {
  byte version;
  byte token;         /* number of the refresh token */
  byte owner;         /* who claims it */
  bool doubt          /* the token may have been spent */
};

/* The store. Writes are linearizable; past is what a stale read gives. */
Item item;
#if STALE
Item past;
#endif
bool lease = false;   /* the lease of the present owner has not run out */
#if CLAIM == BESIDE
byte lockOwner = FREE;
bool lockDoubt = false;
#endif

/* The issuer. */
byte good = 1;        /* the one refresh token that is not spent */
byte valid = 0;       /* the refresh token that came with an access token that is still
                         valid; 0 for none */
byte sent[8];         /* how often each refresh token was sent */

byte inside = 0;      /* nodes between their last check and the end of the save */
byte expiries = EXPIRIES, lapses = LAPSES, hiccups = HICCUPS, crashes = CRASHES, cuts = CUTS, kills = KILLS;

inline copy(to, from) {
  to.version = from.version; to.token = from.token; to.owner = from.owner; to.doubt = from.doubt
}

inline read(view) {
  if
#if STALE
  :: d_step { copy(view, past) }
#endif
  :: d_step { copy(view, item) }
  fi
}

inline write(newToken, newOwner, newDoubt) {
#if STALE
  copy(past, item);
#endif
  item.version++; item.token = newToken; item.owner = newOwner; item.doubt = newDoubt
}

/* Check-and-set. wrote is what happened, and ok what the writer is told. */
inline cas(expected, aToken, anOwner, aDoubt) {
  atomic {
    if
    :: item.version == expected ->
       if
       :: write(aToken, anOwner, aDoubt); wrote = true; ok = true;
          if
          :: hiccups > 0 -> hiccups--; ok = false    /* the answer is lost */
          :: true
          fi
       :: hiccups > 0 -> hiccups--; wrote = false; ok = false     /* refused without reason */
       fi
    :: else -> wrote = false; ok = false
    fi
  }
}

proctype node(byte me) {
  Item view;
  byte gets = 0, got = 0;
  byte mine = 0;                /* the version that my claim makes */
  byte used = 0;                /* the claim with which I sent: no later get may go on with it */
  bool ok = false, wrote = false, unsure = false;
#if KILLS
  byte copied = 0, base = 0;    /* the sealed copy: its token, and the token that it replaces */
#endif

next:
  /* What is no longer needed is cleared: fewer states. */
  atomic { view.version = 0; view.token = 0; view.owner = 0; view.doubt = false;
           got = 0; mine = 0; ok = false; wrote = false; unsure = false };
  if
  :: gets == GETS -> goto done
  :: else -> gets++
  fi;

look:
  /* An access token that has not expired is right, however old the read. */
  read(view);
  if
  :: view.token == valid -> goto next
  :: else
  fi;

#if CLAIM == ITEM
  /* Claim: check-and-set on the version that was read. A success proves that this
     version was the newest. */
  if
  :: view.owner == FREE || !lease
  :: view.owner == me                        /* a get of this machine left it, and has ended */
  :: else -> goto look                       /* wait for the holder */
  fi;
  unsure = view.doubt || view.owner != FREE;
  mine = view.version + 1;
  atomic {
    cas(view.version, view.token, me, unsure);
    if
    :: wrote || RENEW && item.owner == me && item.version == mine -> lease = true
    :: else
    fi
  };
  if
  :: ok -> d_step { view.version = mine; view.owner = me; view.doubt = unsure }
  :: else ->
     /* Refused, or not told. If the claim that is there is mine, go on: its lease began
        when it was first sent. */
     read(view);
     if
     :: view.owner == me && view.version == mine && (BYNAME || mine != used) -> REACHED(OWN)
     :: else -> goto look
     fi
  fi;
#elif CLAIM == BESIDE
  /* The lock is another item, and the record is read when the lock is held. */
  atomic {
    if
    :: lockOwner == FREE || !lease ->
       unsure = lockDoubt || lockOwner != FREE; lockOwner = me; lease = true
    :: else -> goto look
    fi
  };
  read(view);
#endif

#if KILLS
  /* A copy that is newer than the item was left by a get that was killed. It ends the
     doubt, and nothing is sent. */
  if
  :: copied != 0 && (BLIND || view.token == base) -> got = copied; goto restore
  :: copied != 0 && !BLIND && view.token != base -> copied = 0; base = 0
  :: else
  fi;
#endif

#if CLAIM != NONE
  /* Look again: somebody may have refreshed in between. */
  if
  :: view.token == valid -> goto release
  :: else
  fi;
#if DOUBT != SPEND
  if
  :: unsure ->
     if
#if DOUBT == ASK
     :: view.token == good -> unsure = false; REACHED(ACTIVE)
#endif
     :: DOUBT == STOP || view.token != good -> REACHED(INACTIVE); goto release   /* exit 6 */
     fi
  :: else
  fi;
#endif
  if
  :: crashes > 0 -> crashes--; goto done     /* it leaves a claim, and has sent nothing */
  :: true
  fi;
  /* The last check, by the holder's own clock. */
  atomic {
    if
    :: lease && HOLDS -> inside++; used = mine
    :: else -> goto release
    fi
  };
#endif

  /* Send. */
  atomic {
    sent[view.token]++;
    assert(sent[view.token] <= 1);           /* no refresh token is sent twice */
    assert(PAUSE || CLAIM == NONE || view.token != valid);   /* one refresh a life */
    if
    :: view.token == good -> good++; got = good; valid = got
    :: else -> got = 0
    fi
  };
  if
  :: crashes > 0 -> crashes--; goto dead     /* what came is lost with the machine */
  :: cuts > 0 -> cuts--; got = 0
  :: true
  fi;
  if
  :: got == 0 -> unsure = true; goto after
  :: else
  fi;
#if KILLS
  copied = got; base = view.token;
  if
  :: kills > 0 -> kills--; inside--; goto next   /* killed: the claim and the copy stay */
  :: true
  fi;
#endif

save:
  cas(view.version, got, FREE, false);
  if
  :: ok
  :: else ->
     assert(!DROP);                          /* what came would be lost here */
     read(view);
     if
     :: view.token >= got                   /* it is there, or was there and is spent by now */
     :: view.token < got -> goto save        /* ours is the newer, by construction */
     fi
  fi;
  atomic { if :: got == GOAL -> REACHED(REFRESHES) :: else fi };
#if KILLS
  if
  :: kills > 0 -> kills--                        /* killed: the copy stays, and is old soon */
  :: copied = 0; base = 0
  fi;
#endif

after:
#if CLAIM != NONE
  atomic { inside--; assert(inside < NODES) };
#endif
#if CLAIM != BESIDE
  if
  :: got != 0 -> goto next                   /* the save gave the claim up */
  :: else
  fi;
#endif

release:
  /* Give the claim up, and keep the doubt. */
#if CLAIM == ITEM
  cas(view.version, view.token, FREE, unsure && !FORGET);
#elif CLAIM == BESIDE
  atomic {
    if
    :: lockOwner == me -> lockOwner = FREE; lockDoubt = unsure && !FORGET
    :: else
    fi
  };
#endif
  goto next;

#if KILLS
restore:
  cas(view.version, got, FREE, false);
  if
  :: ok -> REACHED(COPY)
  :: else ->
     read(view);
     if
     :: view.token >= got && !BLIND
     :: else -> goto restore
     fi
  fi;
  copied = 0; base = 0;
  goto next;
#endif

dead:
#if CLAIM != NONE
  inside--;
#endif
done:
  skip
}

/* Time: an access token expires; a lease runs out. A lease that fits the request and
   the save cannot run out in between, unless its holder was stopped (PAUSE). */
active proctype time() {
end:
  do
  :: atomic { valid != 0 && expiries > 0 -> valid = 0; expiries-- }
  :: atomic { lease && lapses > 0 && (PAUSE || inside == 0) -> lease = false; lapses-- }
  od
}

init {
  byte n = 1;
  atomic {
    item.version = 1; item.token = 1;
#if STALE
    copy(past, item);
#endif
    do
    :: n <= NODES -> run node(n); n++
    :: else -> break
    od
  }
}
