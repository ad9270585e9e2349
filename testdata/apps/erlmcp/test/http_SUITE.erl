%% What clients see, over a real socket.
-module(http_SUITE).
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

all() -> [health, scopes, faults, database, mcp, metrics, refused, keep_alive, log_file, drain].

init_per_testcase(log_file, Config) ->
    os:putenv("RUNNER_LOG_DIR", proplists:get_value(priv_dir, Config)),
    start([{log_file, "test.log"}], Config);
init_per_testcase(_, Config) ->
    start([], Config).

start(Env, Config) ->
    application:load(erlmcp),
    [application:set_env(erlmcp, K, V) || {K, V} <- Env],
    {ok, _} = application:ensure_all_started(erlmcp),
    {_, Port} = erlmcp_listener:address(),
    [{port, Port} | Config].

end_per_testcase(_, _) ->
    application:stop(erlmcp),
    os:unsetenv("RUNNER_LOG_DIR"),
    application:unload(erlmcp),
    [application:set_env(erlmcp, K, V) || {K, V} <- [{port, 0}, {log_file, none}]].

connect(Config) ->
    {ok, Socket} = gen_tcp:connect("127.0.0.1", proplists:get_value(port, Config), [binary, {active, false}]),
    Socket.

raw(Config, Text) ->
    Socket = connect(Config),
    ok = gen_tcp:send(Socket, Text),
    answer(all(Socket, <<>>)).

all(Socket, Acc) ->
    case gen_tcp:recv(Socket, 0, 5000) of
        {ok, More} -> all(Socket, <<Acc/binary, More/binary>>);
        {error, closed} -> Acc
    end.

answer(<<"HTTP/1.1 ", Status:3/binary, " ", Rest/binary>>) ->
    [Head, Body] = binary:split(Rest, <<"\r\n\r\n">>),
    {binary_to_integer(Status), Body, Head}.

get(Config, Path) ->
    {Status, Body, _} = raw(Config, ["GET ", Path, " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"]),
    {Status, Body}.

document(Config, Path) ->
    {Status, Body} = get(Config, Path),
    {ok, Document} = erlmcp_json:decode(Body),
    {Status, Document}.

post(Config, Body) ->
    {Status, Text, _} = raw(Config, ["POST /mcp HTTP/1.0\r\nContent-Length: ", integer_to_binary(byte_size(Body)), "\r\n\r\n", Body]),
    {Status, case erlmcp_json:decode(Text) of {ok, Answer} -> Answer; _ -> Text end}.

health(Config) ->
    {200, #{<<"status">> := <<"healthy">>, <<"version">> := Version, <<"checks">> := Checks} = D} = document(Config, "/health"),
    {ok, Vsn} = application:get_key(erlmcp, vsn),
    ?assertEqual(Vsn, binary_to_list(Version)),
    ?assertEqual(10, map_size(Checks)),
    [?assert(is_integer(maps:get(K, maps:get(<<"metrics">>, D)))) || K <- [<<"memory_total">>, <<"memory_ets">>, <<"process_limit">>, <<"port_count">>, <<"run_queue">>, <<"uptime_seconds">>]],
    [?assert(is_binary(maps:get(K, maps:get(<<"system">>, D)))) || K <- [<<"otp_release">>, <<"erts_version">>, <<"architecture">>]].

scopes(Config) ->
    [begin
        {200, #{<<"checks">> := Checks}} = document(Config, "/health/" ++ Path),
        ?assertEqual(lists:sort(Names), lists:sort(maps:keys(Checks)))
    end || {Path, Names} <- [
        {"ready", [<<"gproc">>, <<"database">>, <<"transport">>]}, {"live", [<<"vm">>, <<"memory">>]},
        {"startup", [<<"application">>, <<"supervisors">>, <<"gproc">>]}
    ]].

with(Faults, Fun) ->
    application:set_env(erlmcp, faults, Faults),
    ok = erlmcp_fault:load(),
    try Fun() after application:set_env(erlmcp, faults, []), erlmcp_fault:load() end.

faults(Config) ->
    with([{health, unhealthy}], fun() ->
        {503, #{<<"status">> := <<"unhealthy">>}} = document(Config, "/health"),
        {503, _} = document(Config, "/health/ready"),
        {200, _} = document(Config, "/health/live")
    end),
    with([{health, degraded}], fun() -> {200, #{<<"status">> := <<"degraded">>}} = document(Config, "/health") end),
    with([{garbage, true}], fun() -> {200, Body} = get(Config, "/health"), {error, invalid} = erlmcp_json:decode(Body) end),
    with([{brackets, true}], fun() -> {200, Body} = get(Config, "/health"), ?assert(byte_size(Body) > 2000000) end),
    with([{redirect, true}], fun() -> {302, _} = get(Config, "/health") end).

%% A database that is wanted and not there makes the node unhealthy; one that is there does not.
database(Config) ->
    application:stop(erlmcp),
    {ok, Listen} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}]),
    {ok, Port} = inet:port(Listen),
    There = start([{database, #{host => "127.0.0.1", port => Port}}], proplists:delete(port, Config)),
    {200, _} = document(There, "/health/ready"),
    application:stop(erlmcp),
    gen_tcp:close(Listen),
    Gone = start([], proplists:delete(port, Config)),
    {503, #{<<"checks">> := #{<<"database">> := #{<<"message">> := Why}}}} = document(Gone, "/health/ready"),
    {match, _} = re:run(Why, "connection refused").

mcp(Config) ->
    Initialize = <<"{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"method\":\"initialize\",\"params\":{}}">>,
    {200, #{<<"id">> := <<"a">>, <<"result">> := #{<<"protocolVersion">> := <<"2025-06-18">>, <<"serverInfo">> := #{<<"name">> := <<"erlmcp">>}}}} = post(Config, Initialize),
    {202, <<>>} = post(Config, <<"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}">>),
    {200, #{<<"error">> := #{<<"code">> := -32700}, <<"id">> := null}} = post(Config, <<"{">>),
    with([{mcp, error}], fun() -> {200, #{<<"error">> := #{<<"code">> := -32603}}} = post(Config, Initialize) end),
    with([{mcp, status}], fun() -> {500, _} = post(Config, Initialize) end).

metrics(Config) ->
    {200, Text} = get(Config, "/metrics"),
    [{match, _} = re:run(Text, P, [multiline]) || P <- ["^erlmcp_build_info\\{version=\"[0-9.]+\"\\} 1$", "^erlmcp_memory_total [0-9]+$", "^erlmcp_requests_total 1$"]].

refused(Config) ->
    [?assertMatch({Status, _, _}, raw(Config, Text)) || {Status, Text} <- [
        {404, "GET /nothing HTTP/1.0\r\n\r\n"}, {405, "GET /mcp HTTP/1.0\r\n\r\n"}, {400, "hello\r\n\r\n"},
        {413, "POST /mcp HTTP/1.1\r\nContent-Length: 2000000\r\n\r\n"}, {400, "POST /mcp HTTP/1.1\r\nContent-Length: x\r\n\r\n"},
        {411, "POST /mcp HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"}, {400, ["GET / HTTP/1.1\r\n", ["A: b\r\n" || _ <- lists:seq(1, 200)], "\r\n"]}
    ]],
    {200, _} = get(Config, "/version").

keep_alive(Config) ->
    Socket = connect(Config),
    [begin
        ok = gen_tcp:send(Socket, "GET /version HTTP/1.1\r\nHost: x\r\n\r\n"),
        {ok, <<"HTTP/1.1 200", _/binary>>} = gen_tcp:recv(Socket, 0, 1000)
    end || _ <- [1, 2, 3]].

log_file(Config) ->
    logger:error("written by the test"),
    logger_std_h:filesync(erlmcp_file),
    {ok, Text} = file:read_file(filename:join(proplists:get_value(priv_dir, Config), "test.log")),
    {match, _} = re:run(Text, "written by the test").

%% A request in flight is answered though the application stops.
drain(Config) ->
    [{ok, _} = erlmcp_pool:checkout(100) || _ <- lists:seq(1, 15)],
    Self = self(),
    spawn(fun() -> Self ! {answer, post(Config, <<"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}">>)} end),
    tree_SUITE:until(fun() -> maps:get(waiting, erlmcp_pool:status()) =:= 1 end),
    spawn(fun() -> application:stop(erlmcp), Self ! stopped end),
    tree_SUITE:until(fun() -> {error, econnrefused} =:= gen_tcp:connect("127.0.0.1", proplists:get_value(port, Config), []) end),
    [erlmcp_pool:checkin(W) || {_, W, _, _} <- supervisor:which_children({via, erlmcp_registry, pool_workers})],
    receive {answer, {200, #{<<"result">> := #{}}}} -> ok after 3000 -> error(no_answer) end,
    receive stopped -> ok after 3000 -> error(runs) end.
