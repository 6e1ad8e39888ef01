//! Apps in JavaScript and TypeScript.
//!
//! Plain data, by the rules of [`super`].

use super::{
    Connections, Fails, Fixed, Knob, Must, NotTried, PLAIN, Profile, Sizing, Unlimited, floored, one_bound,
    one_knob, strict, untried,
};

pub(super) static N8N: Profile = Profile {
    name: "n8n",
    sizing: one_bound(
        &[one_knob(Knob {
            env: "DB_POSTGRESDB_POOL_SIZE",
            formerly: None,
            unset: Connections(2),
            zero: Connections(10),
            negative: Fails,
            junk: NotTried,
        })],
        Fixed,
    ),
    processes: "1: main, worker and webhook pods are workloads of their own",
    note: "It gives connections back after 30 idle seconds.",
    source: "n8n 00a67983, `packages/@n8n/config/src/configs/database.config.ts`; what 0 means: node-postgres",
    read: "2026-11-21",
    ..PLAIN
};

pub(super) static NODE_POSTGRES: Profile = Profile {
    name: "node-postgres",
    sizing: one_bound(
        &[one_knob(Knob {
            env: "",
            formerly: None,
            unset: Connections(10),
            zero: Connections(10),
            negative: Fails,
            junk: Unlimited,
        })],
        Must,
    ),
    processes: "Node.js processes (cluster workers, PM2 instances); `engines` is the number of `Pool`s in each",
    note: "The app passes the variable to `new Pool` as `max`, by `Number(process.env.…)`; also for Drizzle, Knex and Prisma 7 \
           with the adapter of `pg`.",
    source: "run: pg 8.23.1 on PostgreSQL 15; `pg-pool/index.js` c9e57617",
    read: "2026-11-21",
    ..PLAIN
};

pub(super) static STORAGE: Profile = Profile {
    name: "Storage",
    sizing: one_bound(&[one_knob(untried("DATABASE_MAX_CONNECTIONS", Connections(20)))], Fixed),
    processes: "1",
    note: "Supabase Storage with one tenant.",
    source: "supabase/storage, its configuration; not run",
    read: "2026-11-21",
    ..PLAIN
};

pub(super) static OUTLINE: Profile = Profile {
    name: "Outline",
    sizing: one_bound(
        &[floored(
            untried("DATABASE_CONNECTION_POOL_MAX", Connections(5)),
            &["DATABASE_CONNECTION_POOL_MIN"],
        )],
        Fixed,
    ),
    processes: "`WEB_CONCURRENCY`; `engines` is 3 with a read replica, whose pool is twice as large",
    note: "Its pool does not start with a least above the most: both are set to the same.",
    source: "outline d77dcdf8, `server/storage/database.ts`; sequelize-pool f4ab724, `src/Pool.ts`; not run",
    read: "2026-11-27",
    ..PLAIN
};

pub(super) static PRISMA: Profile = Profile {
    name: "Prisma",
    sizing: Sizing::Counted { default: None },
    processes: "Node.js processes; `engines` is the number of clients in each",
    note: "Up to version 6 the bound is `connection_limit` in `DATABASE_URL`, mostly from a Secret: put it there and set \
           `connections-per-process` to the same number. Without it the bound depends on the CPUs of the node. Version 7: node-postgres.",
    source: "Prisma 6 and 7, connection pool pages",
    read: "2026-11-21",
    ..PLAIN
};

pub(super) static DIRECTUS: Profile = Profile {
    name: "Directus",
    sizing: one_bound(&[floored(strict("DB_POOL__MAX", Connections(10)), &["DB_POOL__MIN"])], Fixed),
    processes: "`PM2_INSTANCES` (1)",
    note: "Its pool is Knex's, whose least is 2 when nobody sets it, and which does not start with a most below \
           that: both are set to the same.",
    source: "directus/directus 09886e7a, `api/src/utils/get-config-from-env.ts`, 0e19941b, `ecosystem.config.cjs`; \
             knex e25d54b, `lib/client.js`; tarn.js e33d223, `src/Pool.ts`; not run",
    read: "2026-11-27",
    ..PLAIN
};

pub(super) static STRAPI: Profile = Profile {
    name: "Strapi",
    sizing: one_bound(
        &[floored(strict("DATABASE_POOL_MAX", Connections(10)), &["DATABASE_POOL_MIN"])],
        Fixed,
    ),
    processes: "Node.js processes",
    note: "The variables of the `config/database` that its generator writes; a project that has changed that file: \
           Single. Knex does not start with a most below its least, so both are set to the same.",
    source: "strapi/strapi 43b99a6b, `database-templates/ts/database.template`; tarn.js e33d223, `src/Pool.ts`; not \
             run",
    read: "2026-11-27",
    ..PLAIN
};
