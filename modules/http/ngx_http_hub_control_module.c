/*
 * Commands of the auth-service and duoluctl to the hub, for a private listener:
 *     POST /control/kick?id=ID
 *     POST /control/revoke?user=ID&stream=APP/NAME&key=ID    (at least one;
 *          at=UNIX: only sessions and tokens issued up to then)
 *     POST /control/refresh?user=ID                          (or all users)
 *     POST /control/record?stream=APP/NAME&on=1              (or 0)
 */

#include "answer.h"
#include "../hub/hub.h"


typedef struct {
    ngx_str_t  id, user, stream, key, at, on;  /* data is NULL: not given */
    u_char     wrong[TEXT_STEP];           /* the error, a sentence, or empty */
} control_args_t;


typedef ngx_int_t (*control_pt)(ngx_http_request_t *r,
    const control_args_t *args);


static ngx_int_t control_kick(ngx_http_request_t *r,
    const control_args_t *args);
static ngx_int_t control_revoke(ngx_http_request_t *r,
    const control_args_t *args);
static ngx_int_t control_refresh(ngx_http_request_t *r,
    const control_args_t *args);
static ngx_int_t control_record(ngx_http_request_t *r,
    const control_args_t *args);
static char *ngx_http_hub_control(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


static ngx_command_t  ngx_http_hub_control_commands[] = {

    { ngx_string("hub_control"),
      NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_http_hub_control,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_hub_control_module_ctx = {
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
};


ngx_module_t  ngx_http_hub_control_module = {
    NGX_MODULE_V1,
    &ngx_http_hub_control_module_ctx,      /* module context */
    ngx_http_hub_control_commands,         /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static const struct {
    ngx_str_t    name;
    const char  *takes;
    control_pt   handler;
}  control_actions[] = {
    { ngx_string("kick"), "id", control_kick },
    { ngx_string("revoke"), "user stream key at", control_revoke },
    { ngx_string("refresh"), "user", control_refresh },
    { ngx_string("record"), "stream on", control_record }
};


/* --- arguments --- */

/* Is NAME one of the words in TAKES? */
static int
control_takes(const char *takes, const u_char *name, size_t len)
{
    const char  *p, *end;

    for (p = takes; *p; p = *end ? end + 1 : end) {
        end = p + strcspn(p, " ");

        if ((size_t) (end - p) == len && ngx_memcmp(p, name, len) == 0) {
            return 1;
        }
    }

    return 0;
}


/* The field for the argument NAME; NULL: TAKES does not list it. */
static ngx_str_t *
control_argument(control_args_t *args, const char *takes, const ngx_str_t *name)
{
    ngx_uint_t  i;

    static const struct {
        ngx_str_t  name;
        size_t     offset;
    }  arguments[] = {
        { ngx_string("id"), offsetof(control_args_t, id) },
        { ngx_string("user"), offsetof(control_args_t, user) },
        { ngx_string("stream"), offsetof(control_args_t, stream) },
        { ngx_string("key"), offsetof(control_args_t, key) },
        { ngx_string("at"), offsetof(control_args_t, at) },
        { ngx_string("on"), offsetof(control_args_t, on) }
    };

    if (!control_takes(takes, name->data, name->len)) {
        return NULL;
    }

    for (i = 0; i < sizeof(arguments) / sizeof(arguments[0]); i++) {
        if (arguments[i].name.len == name->len
            && ngx_memcmp(arguments[i].name.data, name->data, name->len) == 0)
        {
            return (ngx_str_t *) ((u_char *) args + arguments[i].offset);
        }
    }

    return NULL;
}


/* Parses NAME=VALUE.  0, or -1 with args->wrong. */
static int
control_pair(ngx_http_request_t *r, const char *takes, u_char *p, u_char *end,
    control_args_t *args)
{
    u_char     *equals = ngx_strlchr(p, end, '='), *from, *to, *sentence;
    ngx_str_t   name, *value;

    sentence = args->wrong;
    name.data = p;
    name.len = (equals ? equals : end) - p;

    value = equals ? control_argument(args, takes, &name) : NULL;

    if (value == NULL) {
        ngx_snprintf(sentence, TEXT_STEP - 1, "argument \"%V\" is not known, "
                     "expected NAME=VALUE with a name of: %s", &name, takes);
        return -1;
    }

    if (value->data) {
        ngx_snprintf(sentence, TEXT_STEP - 1, "argument \"%V\" is given twice, "
                     "expected once", &name);
        return -1;
    }

    from = equals + 1;
    value->data = to = ngx_pnalloc(r->pool, end - from + 1);
    if (to == NULL) {
        ngx_snprintf(sentence, TEXT_STEP - 1, "no memory");
        return -1;
    }

    ngx_unescape_uri(&to, &from, end - from, 0);
    value->len = to - value->data;

    return 0;
}


static int
control_parse(ngx_http_request_t *r, const char *takes, control_args_t *args)
{
    u_char  *p = r->args.data, *last = p + r->args.len, *end;

    ngx_memzero(args, sizeof(control_args_t));

    for ( /* void */ ; p < last; p = end + 1) {
        end = ngx_strlchr(p, last, '&');
        end = end ? end : last;

        if (control_pair(r, takes, p, end, args) != 0) {
            return -1;
        }
    }

    return 0;
}


/* Reads TEXT, all digits, as a number above 0.  0: it is not one. */
static uint64_t
control_number(const ngx_str_t *text)
{
    size_t    i;
    uint64_t  n = 0, digit;

    for (i = 0; i < text->len; i++) {
        if (text->data[i] < '0' || text->data[i] > '9') {
            return 0;
        }

        digit = text->data[i] - '0';

        if (n > (UINT64_MAX - digit) / 10) {
            return 0;
        }

        n = n * 10 + digit;
    }

    return n;
}


static ngx_int_t
control_not_a_number(ngx_http_request_t *r, const char *name,
    const ngx_str_t *value)
{
    return answer_error(r, NGX_HTTP_BAD_REQUEST,
                        "argument %s is \"%V\", expected a number above 0",
                        name, value);
}


/* Is it an APP/NAME?  It must fit into a line of the revocations file: no spaces
 * or control characters. */
static int
control_is_stream(const ngx_str_t *s)
{
    size_t      i;
    ngx_uint_t  slashes = 0;

    for (i = 0; i < s->len; i++) {
        if (s->data[i] <= ' ' || s->data[i] == 0x7f) {
            return 0;
        }

        slashes += s->data[i] == '/';
    }

    return slashes == 1 && s->len <= HUB_NAME_MAX && s->data[0] != '/'
           && s->data[s->len - 1] != '/';
}


static ngx_int_t
control_not_a_stream(ngx_http_request_t *r, const ngx_str_t *value)
{
    return answer_error(r, NGX_HTTP_BAD_REQUEST,
                        "argument stream is \"%V\", expected APP/NAME of at "
                        "most %d bytes", value, HUB_NAME_MAX);
}


/* --- actions --- */

static ngx_int_t
control_ended(ngx_http_request_t *r, uint32_t n)
{
    text_t  t = { NULL, NULL, NULL, 0 };

    text_add(&t, "{\"ended\":%uD}", n);

    return answer_send(r, NGX_HTTP_OK, ANSWER_JSON, &t);
}


static ngx_int_t
control_kick(ngx_http_request_t *r, const control_args_t *args)
{
    uint32_t  n;
    uint64_t  id;

    if (args->id.data == NULL) {
        return answer_error(r, NGX_HTTP_BAD_REQUEST,
                            "no argument, expected id=SESSION");
    }

    id = control_number(&args->id);
    if (id == 0) {
        return control_not_a_number(r, "id", &args->id);
    }

    n = hub_kick(hub, id);

    if (n == 0) {
        return answer_error(r, NGX_HTTP_NOT_FOUND, "no session \"%uL\"", id);
    }

    ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0,
                  "control: session %uL is kicked", id);

    return control_ended(r, n);
}


static ngx_int_t
control_revoke(ngx_http_request_t *r, const control_args_t *args)
{
    text_t            t = { NULL, NULL, NULL, 0 };
    uint32_t          ended;
    ngx_int_t         rc;
    hub_revocation_t  revoke;

    ngx_memzero(&revoke, sizeof(revoke));
    ngx_time_update();                     /* the cached time may be old */
    revoke.at = ngx_time();
    revoke.uid = control_number(&args->user);
    revoke.key = control_number(&args->key);

    if (args->user.data && revoke.uid == 0) {
        return control_not_a_number(r, "user", &args->user);
    }

    if (args->key.data && revoke.key == 0) {
        return control_not_a_number(r, "key", &args->key);
    }

    if (args->at.data) {
        /* a late or repeated command must not end sessions begun since then */
        revoke.at = (int64_t) control_number(&args->at);

        if (revoke.at <= 0) {
            return control_not_a_number(r, "at", &args->at);
        }
    }

    if (args->stream.data) {
        if (!control_is_stream(&args->stream)) {
            return control_not_a_stream(r, &args->stream);
        }

        revoke.stream = hub_name_hash(args->stream.data, args->stream.len);
    }

    if (revoke.uid == 0 && revoke.key == 0 && revoke.stream == 0) {
        return answer_error(r, NGX_HTTP_BAD_REQUEST,
                            "no argument, expected user=ID, stream=APP/NAME "
                            "or key=ID");
    }

    rc = hub_revoke(hub, &revoke, &args->stream, &ended, r->connection->log);

    ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0,
                  "control: revoked for user %uL, stream \"%V\", key %uL: "
                  "%uD sessions are ended", revoke.uid, &args->stream,
                  revoke.key, ended);

    if (rc == NGX_AGAIN) {
        return answer_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                            "revoked, %uD sessions ended, but a reload replaced "
                            "this hub_zone by another, which does not know "
                            "of it: send it again", ended);
    }

    if (rc != NGX_OK) {
        return answer_error(r, NGX_HTTP_INTERNAL_SERVER_ERROR,
                            "revoked, %uD sessions ended, but the revocation "
                            "could not be stored: a restart of nginx loses it",
                            ended);
    }

    text_add(&t, "{\"ended\":%uD,\"at\":%L}", ended, revoke.at);

    return answer_send(r, NGX_HTTP_OK, ANSWER_JSON, &t);
}


static ngx_int_t
control_refresh(ngx_http_request_t *r, const control_args_t *args)
{
    uint64_t  uid = control_number(&args->user);

    if (args->user.data && uid == 0) {
        return control_not_a_number(r, "user", &args->user);
    }

    return control_ended(r, hub_refresh(hub, uid));
}


static ngx_int_t
control_record(ngx_http_request_t *r, const control_args_t *args)
{
    int     on;
    text_t  t = { NULL, NULL, NULL, 0 };

    if (!control_is_stream(&args->stream)) {
        return control_not_a_stream(r, &args->stream);
    }

    if (args->on.len != 1 || (args->on.data[0] | 1) != '1') {
        return answer_error(r, NGX_HTTP_BAD_REQUEST,
                            "argument on is \"%V\", expected 1 or 0",
                            &args->on);
    }

    on = args->on.data[0] == '1';

    if (hub_record_want(hub, args->stream.data, args->stream.len, on)
        != NGX_OK)
    {
        return answer_error(r, NGX_HTTP_NOT_FOUND,
                            "stream \"%V\" is not live", &args->stream);
    }

    ngx_log_error(NGX_LOG_NOTICE, r->connection->log, 0,
                  "control: recording of \"%V\" is %s", &args->stream,
                  on ? "on" : "off");
    text_add(&t, "{\"recording\":%s}", on ? "true" : "false");

    return answer_send(r, NGX_HTTP_OK, ANSWER_JSON, &t);
}


static ngx_int_t
ngx_http_hub_control_handler(ngx_http_request_t *r)
{
    ngx_int_t                  rc;
    ngx_str_t                  action;
    ngx_uint_t                 i;
    control_args_t             args;
    ngx_http_core_loc_conf_t  *clcf;

    rc = answer_begin(r, NGX_HTTP_POST);
    if (rc != NGX_OK) {
        return rc;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    action = r->uri;

    if (action.len >= clcf->name.len) {
        action.data += clcf->name.len;
        action.len -= clcf->name.len;
    }

    for (i = 0; i < sizeof(control_actions) / sizeof(control_actions[0]); i++) {
        if (action.len != control_actions[i].name.len
            || ngx_memcmp(action.data, control_actions[i].name.data,
                          action.len) != 0)
        {
            continue;
        }

        if (control_parse(r, control_actions[i].takes, &args) != 0) {
            return answer_error(r, NGX_HTTP_BAD_REQUEST, "%s", args.wrong);
        }

        return control_actions[i].handler(r, &args);
    }

    return answer_error(r, NGX_HTTP_NOT_FOUND,
                        "action \"%V\" is not known, expected kick, revoke, "
                        "refresh or record", &action);
}


static char *
ngx_http_hub_control(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    return answer_at(cf, ngx_http_hub_control_handler);
}
