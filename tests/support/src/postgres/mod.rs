//! Applications with real connections: pods of the test cluster as Python processes on a real PostgreSQL.
//!
//! In:   the programs that `tests/postgres/set-up` and `set-up-versions` provide.
//! Out:  [`Story`], told on two [`Side`]s at once, one without and one with poolbudget: what each server held over
//!       time, by its own word, and what it refused.
//!
//! | module | what it is |
//! |---|---|
//! | [`kubelet`], [`pod`], [`container`], [`env`], [`probe`] | runs the containers of pods as processes, as a kubelet would |
//! | [`lines`], [`tally`] | what the applications report, and the totals |
//! | [`server`], [`pooler`], [`user`] | PostgreSQL and PgBouncer on loopback |
//! | [`programs`] | the programs of a PostgreSQL of this machine, and of every version that is tested |
//! | [`count`] | the server's own count of backends over time |
//! | [`until`], [`clock`], [`place`], [`request`] | waiting, the time, where programs are, and one HTTP request |
//! | [`apps`] | the Deployments and the budget |
//! | [`way`] | what is limited, and the steps |
//! | [`side`], [`story`], [`told`] | the same load with and without poolbudget, and the results |

pub mod apps;
pub mod clock;
pub mod container;
pub mod count;
pub mod env;
pub mod kubelet;
pub mod lines;
pub mod place;
pub mod pod;
pub mod pooler;
pub mod probe;
pub mod programs;
pub mod request;
pub mod server;
pub mod side;
pub mod story;
pub mod tally;
pub mod told;
pub mod until;
pub mod user;
pub mod way;
