-module(erlmcp_fault_tests).
-include_lib("eunit/include/eunit.hrl").

parse_test_() ->
    [?_assertEqual(Want, erlmcp_fault:parse(Name, Value)) || {Name, Value, Want} <- [
        {health, "unhealthy", unhealthy}, {health, degraded, degraded}, {mcp, "wrong", wrong}, {fail_start, halt, halt},
        {slow_start, "3s", 3000}, {slow_stop, "200ms", 200}, {crash_after, "1m", 60000},
        {garbage, "1", true}, {garbage, "0", false}, {ignore_term, true, true}
    ]].

refused_test_() ->
    [?_assertThrow({fault, _}, erlmcp_fault:parse(Name, Value)) || {Name, Value} <- [
        {health, "sick"}, {slow_start, "soon"}, {slow_start, "3"}, {slow_start, "-3s"}, {teapot, "1"}
    ]].

%% The application's env overrules what is built in, and a variable overrules both.
order_test() ->
    application:load(erlmcp),
    application:set_env(erlmcp, faults, [{health, degraded}, {slow_start, "1s"}]),
    os:putenv("ERLMCP_HEALTH", "unhealthy"),
    try
        ok = erlmcp_fault:load(),
        ?assertEqual({unhealthy, 1000, ok}, {erlmcp_fault:get(health), erlmcp_fault:get(slow_start), erlmcp_fault:get(mcp)}),
        os:putenv("ERLMCP_MCP", "nonsense"),
        ?assertMatch({error, {fault, {mcp, "nonsense", _}}}, erlmcp_fault:load())
    after
        os:unsetenv("ERLMCP_HEALTH"),
        os:unsetenv("ERLMCP_MCP"),
        application:set_env(erlmcp, faults, []),
        ok = erlmcp_fault:load()
    end.
