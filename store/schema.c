/* schema.c - see schema.h.  The SQL is schema.def. */
#include "store/schema.h"

#define SCHEMA_VERSION 2
#define SCHEMA_APPLICATION 0x53474154 /* "SGAT" */
#define DIGITS_OF(x) #x
#define DIGITS(x) DIGITS_OF(x)

static const char *const schema[] = {
#define SCHEMA(text) text,
#define UPGRADE(version, text)
#include "store/schema.def"
#undef SCHEMA
#undef UPGRADE
    "PRAGMA application_id = " DIGITS(SCHEMA_APPLICATION),
    "PRAGMA user_version = " DIGITS(SCHEMA_VERSION)};

static const struct {
    int64_t version;
    const char *text;
} upgrades[] = {
#define SCHEMA(text)
#define UPGRADE(version, text) {version, text},
#include "store/schema.def"
#undef SCHEMA
#undef UPGRADE
    {SCHEMA_VERSION - 1, "PRAGMA user_version = " DIGITS(SCHEMA_VERSION)}};

/* Make the tables, unless another process has just done it. */
static enum err make_schema(struct sql *sql)
{
    int64_t version = 0;
    enum err err = store_sql_run(sql, SQL_BEGIN_WRITE);

    if (err == E_OK)
        err = store_sql_number(sql, "PRAGMA user_version", &version);
    for (size_t i = 0; i < sizeof(schema) / sizeof(*schema); i++)
        if (err == E_OK && version == 0)
            err = store_sql_do(sql, schema[i]);
    if (err == E_OK)
        err = store_sql_run(sql, SQL_COMMIT);
    if (err != E_OK)
        store_sql_rollback(sql);
    return err;
}

/* Bring an older file to the present version, unless another process has
 * just done it. */
static enum err upgrade_schema(struct sql *sql)
{
    int64_t version = 0;
    enum err err = store_sql_run(sql, SQL_BEGIN_WRITE);

    if (err == E_OK)
        err = store_sql_number(sql, "PRAGMA user_version", &version);
    for (size_t i = 0; i < sizeof(upgrades) / sizeof(*upgrades); i++)
        if (err == E_OK && upgrades[i].version >= version)
            err = store_sql_do(sql, upgrades[i].text);
    if (err == E_OK)
        err = store_sql_run(sql, SQL_COMMIT);
    if (err != E_OK)
        store_sql_rollback(sql);
    return err;
}

enum err store_schema_check(struct sql *sql, const char **bad)
{
    int64_t application, version, tables;
    enum err err = store_sql_number(sql, "PRAGMA application_id", &application);

    *bad = NULL;
    if (err == E_OK)
        err = store_sql_number(sql, "PRAGMA user_version", &version);
    if (err == E_OK)
        err = store_sql_number(sql, "SELECT count(*) FROM sqlite_schema",
                               &tables);
    if (err != E_OK)
        return err;
    if (version == 0 && tables == 0)
        return make_schema(sql);
    if (application != SCHEMA_APPLICATION)
        *bad = "is an SQLite file of another program";
    else if (version >= 1 && version < SCHEMA_VERSION)
        return upgrade_schema(sql);
    else if (version != SCHEMA_VERSION)
        *bad = "was written by another version of this program";
    return E_OK;
}
