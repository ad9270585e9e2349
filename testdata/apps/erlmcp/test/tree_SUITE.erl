%% The supervision tree: what dies comes back, and what rests on it too.
-module(tree_SUITE).
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

all() -> [names_go_with_processes, registry_dies, listener_dies, worker_dies, borrower_dies, overflow_and_queue, sessions].

init_per_testcase(_, Config) ->
    application:load(erlmcp),
    application:set_env(erlmcp, pool, #{size => 2, overflow => 1}),
    {ok, _} = application:ensure_all_started(erlmcp),
    Config.

end_per_testcase(_, _) ->
    ok = application:stop(erlmcp).

until(Fun) -> until(Fun, 200).
until(Fun, 0) -> error({never, Fun()});
until(Fun, N) ->
    try true = Fun()
    catch _:_ -> timer:sleep(10), until(Fun, N - 1)
    end.

healthy() -> healthy =:= maps:get(status, erlmcp_health:document(all)).

names_go_with_processes(_) ->
    {Pid, Ref} = spawn_monitor(fun() -> receive stop -> ok end end),
    yes = erlmcp_registry:register_name(name, Pid),
    no = erlmcp_registry:register_name(name, self()),
    Pid = erlmcp_registry:whereis_name(name),
    sys:suspend(erlmcp_registry), % it has not heard of the end, and the name is free all the same
    Pid ! stop,
    receive {'DOWN', Ref, _, _, _} -> ok end,
    undefined = erlmcp_registry:whereis_name(name),
    sys:resume(erlmcp_registry),
    yes = erlmcp_registry:register_name(name, self()),
    ok = erlmcp_registry:unregister_name(name),
    ?assertExit({badarg, _}, erlmcp_registry:send(name, hello)).

registry_dies(_) ->
    Pool = erlmcp_registry:whereis_name(pool),
    exit(whereis(erlmcp_registry), kill),
    until(fun() -> erlmcp_registry:whereis_name(pool) =/= Pool andalso healthy() end).

listener_dies(_) ->
    exit(erlmcp_registry:whereis_name(listener), kill),
    until(fun healthy/0),
    {_, Port} = erlmcp_listener:address(),
    {ok, Socket} = gen_tcp:connect("127.0.0.1", Port, [binary, {active, false}]),
    ok = gen_tcp:send(Socket, "GET /version HTTP/1.0\r\n\r\n"),
    {ok, <<"HTTP/1.1 200 OK", _/binary>>} = gen_tcp:recv(Socket, 0, 1000).

worker_dies(_) ->
    ?assertExit({killed, _}, erlmcp_pool:transaction(fun() -> exit(self(), kill), timer:sleep(1000) end)),
    until(fun() -> maps:get(free, erlmcp_pool:status()) =:= 2 end),
    ok = erlmcp_pool:transaction(fun() -> ok end).

borrower_dies(_) ->
    Self = self(),
    {Pid, _} = spawn_monitor(fun() -> {ok, W} = erlmcp_pool:checkout(100), Self ! {got, W}, timer:sleep(infinity) end),
    receive {got, _} -> ok end,
    #{lent := 1} = erlmcp_pool:status(),
    exit(Pid, kill),
    until(fun() -> erlmcp_pool:status() =:= #{size => 2, overflow => 1, free => 2, lent => 0, waiting => 0} end).

overflow_and_queue(_) ->
    [{ok, A}, {ok, B}, {ok, C}] = [erlmcp_pool:checkout(100) || _ <- [1, 2, 3]],
    {error, full} = erlmcp_pool:checkout(20),
    #{waiting := 0, lent := 3} = erlmcp_pool:status(),
    Self = self(),
    spawn(fun() -> Self ! erlmcp_pool:transaction(fun() -> served end) end),
    until(fun() -> maps:get(waiting, erlmcp_pool:status()) =:= 1 end),
    [erlmcp_pool:checkin(W) || W <- [A, B, C]],
    receive served -> ok after 1000 -> error(starved) end,
    until(fun() -> #{free := 2, lent := 0} = erlmcp_pool:status(), true end).

sessions(_) ->
    Id = erlmcp_store:create(me),
    32 = byte_size(Id),
    true = erlmcp_store:touch(Id),
    0 = erlmcp_store:sweep(erlang:monotonic_time(second) - 10),
    1 = erlmcp_store:sweep(erlang:monotonic_time(second) + 10),
    false = erlmcp_store:touch(Id).
