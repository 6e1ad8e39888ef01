// A crowd at a pool of node-postgres: twelve queries at once.
//
// In:  the pod's environment. Out: nothing; it ends well when all were served.
const { Pool } = require("pg");

const CROWD = 12;

const pool = new Pool({ connectionString: process.env.DATABASE_URL, max: Number(process.env.PG_MAX) });
const queries = Array.from({ length: CROWD }, () => pool.query("select pg_sleep(1)"));
Promise.all(queries).then(() => pool.end());
